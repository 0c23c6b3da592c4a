"""What a challenge is: records, rules, folds, files, data sets."""
