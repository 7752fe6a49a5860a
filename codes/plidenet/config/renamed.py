"""What to see here for fields of BasicSR's and KAIR's option files, which the error of an unknown field then tells."""

PAIRS = "mode: LQGT, with pairs of your own (training makes neither noise nor JPEG artifacts)"
LR_SCHEME = "train.lr_scheme, lr_steps and lr_gamma"
LOSSES = "train.losses: [{type: l1, weight: 1}, ...]"

RENAMED = {
    # BasicSR
    "network_g": "network_G, with which_model_G and setting",
    "type": "network_G.which_model_G, datasets.*.mode, train.lr_scheme or train.losses.*.type",
    "pretrain_network_g": "path.pretrain_model_G",
    "strict_load_g": "path.strict_load",
    "auto_resume": "path.resume_state: auto",
    "dataroot_gt": "dataroot_GT",
    "dataroot_lq": "dataroot_LQ",
    "gt_size": "GT_size",
    "batch_size_per_gpu": "batch_size, which is of all GPUs together",
    "num_worker_per_gpu": "n_workers",
    "num_gpu": "torchrun --nproc_per_node",
    "total_iter": "train.niter",
    "optim_g": "train.optimizer, lr_G, beta1, beta2 and weight_decay_G",
    "scheduler": LR_SCHEME,
    "milestones": LR_SCHEME,
    "pixel_opt": LOSSES,
    "val": "datasets.val for the images, train.val_freq and crop_border for the rest",
    # KAIR
    "netG": "network_G, with which_model_G and setting",
    "net_type": "network_G.which_model_G",
    "pretrained_netG": "path.pretrain_model_G",
    "dataroot_H": "dataroot_GT",
    "dataroot_L": "dataroot_LQ",
    "H_size": "GT_size",
    "dataloader_batch_size": "batch_size",
    "dataloader_num_workers": "n_workers",
    "G_optimizer_lr": "train.lr_G",
    "G_scheduler_milestones": LR_SCHEME,
    "G_scheduler_gamma": LR_SCHEME,
    "G_lossfn_type": LOSSES,
    "checkpoint_test": "train.val_freq",
    "checkpoint_save": "logger.save_checkpoint_freq",
    "checkpoint_print": "logger.print_freq",
    # anybody's
    "kernel_size": "degradation.ksize, and network_G.setting.kernel_size for the estimate",
    "noise": PAIRS,
    "noise_range": PAIRS,
    "jpeg_range": PAIRS,
}
