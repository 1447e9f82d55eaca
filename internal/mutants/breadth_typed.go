package main

// breadthTyped are of the calls of typed.Queue.
var breadthTyped = []mutant{
	{"typed-update-keeps-the-old-header", "Update leaves the headers that belong to the old payload", "typed/typed.go",
		"		maps.Copy(c.Headers, t.Headers)\n", "", "./typed", "TestUpdateSetsPayloadAndTheCodecsHeaders"},
	{"typed-update-drops-headers", "Update takes the caller's own headers away", "typed/typed.go",
		"		maps.Copy(c.Headers, info.Headers)\n", "		_ = info\n", "./typed", "TestUpdateSetsPayloadAndTheCodecsHeaders"},
	{"typed-update-keeps-the-payload", "an empty payload leaves the old one", "typed/typed.go",
		"		c.Payload = []byte{} //", "		_ = c //", "./typed", "TestUpdateSetsPayloadAndTheCodecsHeaders"},
}
