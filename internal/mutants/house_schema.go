package main

// houseSchema are of what cannot change after the first release: the schema and its compatibility, headers, middleware, metrics.
var houseSchema = []mutant{
	// Middleware.
	{"middleware-inside-out", "the first middleware is the innermost", "middleware.go",
		"range slices.Backward(all)", "range slices.All(all)", ".", "TestTheFirstMiddlewareIsTheOutermost"},
	{"middleware-of-the-caller", "a change of the caller's slice changes the middleware", "options.go",
		"	o.Middleware = slices.Clone(o.Middleware)\n", "	o.Middleware = slices.Clip(o.Middleware)\n", ".", "TestTheFirstMiddlewareIsTheOutermost"},
	{"middleware-nil", "a nil middleware is taken", "options.go",
		"		checkMiddleware(o.Middleware),\n", "", ".", "TestANilMiddlewareIsRefused"},
	{"middleware-makes-nothing", "a middleware that makes no handler is taken", "middleware.go",
		"h = m(h); h == nil {", "h = m(h); false {", ".", "TestANilMiddlewareIsRefused"},

	// The schema and its compatibility.
	{"newer-schema-refused", "a newer schema is refused though it is compatible", "durable/schema.go",
		"	case compatible > own:", "	case version > own:", "./durable", "TestANewerSchemaThatIsCompatibleIsUsedAsItIs/mysql97"},
	{"newer-schema-taken", "a newer schema is taken though it is not compatible", "durable/schema.go",
		"	case compatible > own:", "	case compatible > own+99:", "./durable", "TestANewerSchemaThatIsNotCompatibleIsRefused/mysql97"},
	{"last-migration-decides", "the last migration alone says what works with the schema", "durable/sql/get_migration.sql",
		"COALESCE(MAX(compatible), 0)", "COALESCE(SUBSTRING_INDEX(GROUP_CONCAT(compatible ORDER BY version DESC), ',', 1), 0)", "./durable", "TestANewerSchemaThatIsNotCompatibleIsRefused/mysql97"},
	{"first-migrations-refused-by-name", "tables from before the first release are an error of no kind", "durable/schema.go",
		"	if number(err) == unknownColumn {", "	if number(err) == 1 {", "./durable", "TestASchemaFromBeforeTheFirstReleaseIsRefused/mysql97"},
	{"newer-file-taken", "a newer file is taken though it is not compatible", "durable/bolt/bolt.go",
		"	if err != nil || oldest < 1 || oldest > format {", "	if err != nil || oldest < 1 {", "./durable/bolt", "TestTheFileSaysWhichLibrariesWorkWithIt"},
	{"newer-file-refused", "a newer file is refused though it is compatible", "durable/bolt/bolt.go",
		"	if err != nil || oldest < 1 || oldest > format {", "	if err != nil || oldest < 99 {", "./durable/bolt", "TestTheFileSaysWhichLibrariesWorkWithIt"},
}
