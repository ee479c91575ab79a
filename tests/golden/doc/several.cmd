doc mean nothing_like_it rmse
