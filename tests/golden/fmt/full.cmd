fmt --stdout _loose.cml > /dev/full
