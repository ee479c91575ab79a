doc > /dev/full
