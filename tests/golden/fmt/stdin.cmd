fmt - < _loose.cml
fmt - < /dev/null
fmt --check - < _loose.cml
