doc confusion
