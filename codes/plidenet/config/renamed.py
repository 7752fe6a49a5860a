"""What fields of BasicSR's and KAIR's option files are called here: for the error that names them."""

NOT_MADE = "mode: LQGT with pairs of your own: training makes neither noise nor JPEG artifacts"

RENAMED = {
    "network_g": "network_G, with which_model_G and setting",
    "type": "network_G.which_model_G, datasets.*.mode or train.lr_scheme",
    "pretrain_network_g": "path.pretrain_model_G",
    "pretrain_netG": "path.pretrain_model_G",
    "strict_load_g": "path.strict_load",
    "auto_resume": "path.resume_state: auto",
    "dataroot_gt": "dataroot_GT",
    "dataroot_H": "dataroot_GT",
    "dataroot_lq": "dataroot_LQ",
    "dataroot_L": "dataroot_LQ",
    "gt_size": "GT_size",
    "batch_size_per_gpu": "batch_size, of all GPUs together",
    "num_worker_per_gpu": "n_workers",
    "num_gpu": "torchrun --nproc_per_node",
    "total_iter": "train.niter",
    "optim_g": "train.optimizer, lr_G, beta1, beta2 and weight_decay_G",
    "scheduler": "train.lr_scheme, lr_steps and lr_gamma",
    "milestones": "train.lr_steps",
    "pixel_opt": "train.losses: [{type: l1, weight: 1}, ...]",
    "val": "train.val_freq, crop_border and test.save_images",
    "noise": NOT_MADE,
    "noise_range": NOT_MADE,
    "jpeg_range": NOT_MADE,
}
