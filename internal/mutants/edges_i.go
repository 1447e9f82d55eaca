package main

// edgesI are of what is small: collectors, names, files that are open.
var edgesI = []mutant{
	{"collectors-alike", "two collectors of a namespace cannot share a registry", "metrics/metrics.go",
		"	made.of[namespace]++\n", "	made.of[namespace] = 1\n", "./metrics", "TestSchedulersOfANamespaceShareARegistry"},
	{"empty-ids-printed", "an error prints ids that are empty", "task/task.go",
		"		if id == \"\" {\n			continue\n", "		if id == \" \" {\n			continue\n", "./task", "TestIDErrorPrintsNoEmptyID"},
	{"nothing-named", "an error of Create ends with a list that names nothing", "create.go",
		"func(id string) bool { return id != \"\" }", "func(string) bool { return true }", ".", "TestCreateNamesNoEmptyID"},
	{"bolt-opened-twice", "a file that this process has open is waited for", "durable/bolt/files.go",
		"return os.SameFile(f, is) }", "return f == is }", "./durable/bolt", "TestAFileIsOpenOnceInAProcess|TestOneOfManyOpensAFile"},
	{"bolt-open-for-ever", "a file that was closed counts as open", "durable/bolt/bolt.go",
		"	defer openFiles.forget(s.file)\n", "", "./durable/bolt", "TestAFileIsOpenOnceInAProcess"},
	{"bolt-open-though-locked", "a file that could not be locked counts as open", "durable/bolt/bolt.go",
		"		openFiles.forget(s.file)\n", "		_ = s.file\n", "./durable/bolt", "TestAFileOfAnotherProcessIsUnavailable"},
	{"mariadb-is-mysql", "a MariaDB from outside is taken for MySQL", "internal/testserver/shared.go",
		"		s.Kind, err = s.greets()\n", "		_, err = s.greets()\n", "./internal/testserver", "TestAServerFromOutsideIsWhatItGreetsAs"},
	{"states-shifted", "a state has another one's name", "get.go",
		"	return names[s]\n", "	return names[(int(s)+1)%len(names)]\n", ".", "TestStatesHaveNames"},
}
