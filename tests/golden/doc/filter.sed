# whether the error is met while writing or when the rest is flushed depends on how much there is
s/: No space left on device$//
