fmt --check {}
fmt --stdout {}
