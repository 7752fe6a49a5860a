"""The README's figures: comparison pictures, the diagram of the network, curves, and the page with sliders."""
