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
	{"newer-file-changed", "Migrate changes a newer file before it refuses it", "durable/bolt/bolt.go",
		"				return err // before anything is changed\n", "				_ = err\n", "./durable/bolt", "TestAFileThatIsRefusedIsLeftAsItIs"},
	{"newer-file-refused", "a newer file is refused though it is compatible", "durable/bolt/bolt.go",
		"	if err != nil || oldest < 1 || oldest > format {", "	if err != nil || oldest < 99 {", "./durable/bolt", "TestTheFileSaysWhichLibrariesWorkWithIt"},

	// Headers.
	{"headers-escaped", "headers are encoded with what HTML would need", "task/headers.go",
		"	to.SetEscapeHTML(false)\n", "", "./task", "TestHeadersAreEncodedTheSameAlways"},
	{"headers-any-length", "headers of any length are taken", "task/headers.go",
		"	if len(encoded) > MaxHeaders {", "	if false {", "./task", "TestHeadersThatBreakARuleAreRefused"},
	{"headers-unchecked", "headers are encoded with replaced bytes", "task/headers.go",
		"		case !utf8.ValidString(headers[key]):", "		case false:", "./task", "TestHeadersThatBreakARuleAreRefused"},
	{"headers-not-stored", "MySQL keeps no headers", "durable/create.go",
		"	if r.Headers != \"\" {", "	if false {", "./durable", "TestStore/mysql97/HeadersComeBackWithTheirPayload"},
	{"headers-uncounted", "headers do not count as bytes of an answer", "durable/sql/scan_tasks.sql",
		"COALESCE(LENGTH(payload), 0) + LENGTH(headers) <= ?", "LENGTH(headers) <= ?", "./durable", "TestStore/mysql97/HeadersComeBackWithTheirPayload"},
	{"payload-without-its-headers", "a payload comes without the headers that make it too long", "durable/mysql.go",
		" || r.Size > inline {", " {", "./durable", "TestStore/mysql97/HeadersComeBackWithTheirPayload"},
	{"headers-dropped-by-bolt", "bolt leaves out headers that are inline", "durable/bolt/read.go",
		"		r.Payload, r.Headers = nil, \"\"\n	}\n", "		r.Payload = nil\n	}\n	r.Headers = \"\"\n", "./durable/bolt", "TestStore/bolt/HeadersComeBackWithTheirPayload"},
	{"headers-not-in-redis", "Redis holds no headers", "hotset/keys.go",
		"	case e.Headers != \"\":", "	case false:", "./hotset", "TestSet/redis7/p1/MembersComeBackWhole"},
	{"headers-uncounted-in-a-call", "headers do not count as bytes of a call to Redis", "hotset/redis.go",
		"			sum += len(e.Headers) + len(e.Payload)\n", "			sum += len(e.Payload)\n", "./hotset", "TestHeadersCountAsBytesOfACall"},
	{"headers-read-as-payload", "what is read at the claim comes without headers", "consumer/accept.go",
		"	return d.takeHeaders(r.Headers)\n", "	return nil\n", ".", "TestHeadersStayWithTheirTask"},
	{"headers-in-transit", "the hot set is told nothing of headers", "internal/preload/rows.go",
		", Headers: r.Headers, Expires", ", Expires", ".", "TestHeadersStayWithTheirTask"},
	{"headers-break-a-batch", "headers that cannot be read are not told of", "consumer/delivery.go",
		"	if err != nil {\n		c.o.Report.Error(\"read headers\"", "	if false {\n		c.o.Report.Error(\"read headers\"", ".", "TestHeadersThatCannotBeReadLoseNoTask"},

	// Lateness.
	{"lateness-in-whole-ms", "lateness below 1 ms is one bucket", "consumer/lateness.go",
		"	100 * time.Microsecond, 200 * time.Microsecond, 500 * time.Microsecond,\n", "", "./consumer", "TestLatenessCountsEachDeliveryTwice"},
	{"lateness-bucket-too-high", "a delivery counts in the exponential bucket above its own", "consumer/lateness.go",
		"frac)+(exp-1)*perOctave", "frac)+exp*perOctave", "./consumer", "TestLatenessHasTheBucketsOfANativeHistogram"},
	{"lateness-not-native", "the native histogram is left out", "metrics/lateness.go",
		"	h.PositiveSpan, h.PositiveDelta = from.PositiveSpan, from.PositiveDelta\n", "", "./metrics", "TestTheFiguresAgreeWithALedger"},
}
