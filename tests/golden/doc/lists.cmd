doc estimators metrics sources
