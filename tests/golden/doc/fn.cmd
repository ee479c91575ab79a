doc target_mean
