"""The one exception for mistakes that the user can mend."""


class UserError(Exception):
    """A mistake of the user's making: a missing file, an unknown option, images that do not match.

    Its message is one clear sentence that says what is wrong and where. Command-line programs print it without
    a traceback and exit with status 2 (see `plidenet.cli.run`).
    """
