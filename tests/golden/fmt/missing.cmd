fmt nowhere.cml tidy.cml
