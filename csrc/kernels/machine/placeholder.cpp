// Replaced by the first file compiled once for every machine.
