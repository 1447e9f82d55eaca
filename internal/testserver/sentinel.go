package testserver

// MasterName is what Sentinels call the master that they watch.
const MasterName = "main"
