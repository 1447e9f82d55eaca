package main

// houseFace are of what a user reads and runs first: the Examples, the pages, make shape, and
// what the log says of a confirm that came too late.
var houseFace = []mutant{
	{"late-confirm-untold", "an asynchronous confirm that came too late counts as an error", "consumer/confirm.go",
		"if errors.Is(err, task.ErrGone) { // nothing failed", "if errors.Is(err, task.ErrInvalid) { // nothing failed", "./consumer",
		"TestAnAsynchronousConfirmThatCameTooLateIsLogged"},
	{"payment-looks-not-again", "the handler cancels what is paid", "examples/payment/shop.go",
		"WHERE id = ? AND state = 'open' AND deadline_ms <= ?", "WHERE id = ? AND state <> 'none' AND deadline_ms <= ?", "./examples/payment", "TestTheHandlerLooksAtTheOrderAgain"},
	{"payment-cancels-early", "the handler cancels an order that has more time", "examples/payment/shop.go",
		"state = 'open' AND deadline_ms <= ?", "state = 'open' AND deadline_ms > 0 * ?", "./examples/payment", "TestTheHandlerLooksAtTheOrderAgain"},
	{"payment-forgets-a-late-order", "a handler that comes before the order leaves nothing", "examples/payment/shop.go",
		"		return sh.change(ctx, \"INSERT IGNORE INTO shop_order VALUES (?, 'cancelled', 0)\", id)", "		return nil", "./examples/payment", "TestAnOrderWhoseHandlerComesFirstIsCancelled"},
	{"payment-loses-the-race", "an order that is stored beside its handler stays open", "examples/payment/shop.go",
		"		return sh.change(ctx, \"INSERT IGNORE INTO shop_order VALUES (?, 'cancelled', 0)\", id)",
		"		_ = sh.change(ctx, \"INSERT IGNORE INTO shop_order VALUES (?, 'cancelled', 0)\", id)\n		return nil", "./examples/payment",
		"TestAnOrderThatIsStoredBesideItsHandlerIsCancelled"},
	{"payment-places-what-is-cancelled", "an order whose handler came first counts as placed", "examples/payment/shop.go",
		"if err == nil && state == \"cancelled\" {", "if err == nil && state == \"none\" {", "./examples/payment", "TestAnOrderWhoseHandlerComesFirstIsCancelled"},
	{"page-without-an-error", "the package page's table lacks an error", "doc.go",
		"//	ErrAbandoned    Handle: it has returned before some of its handlers, which it names\n", "", ".", "TestTheTableOfErrorsHasEachSentinel"},
	{"page-without-a-method", "go doc of Delivery does not show Rollback", "types.go",
		"//	func (d *Delivery) Rollback(ctx context.Context, delay time.Duration) error\n", "", ".", "TestTheCommentsOfAliasesShowFieldsAndMethods"},
	{"shape-long-function", "a function of any length passes", "internal/shape/size.go",
		"if n > mostLines {", "if n > 100*mostLines {", "./internal/shape", "TestEachRuleFailsWithPlaceNameAndRule"},
	{"shape-bare-field", "a field needs no comment", "internal/shape/docs.go",
		"has(f.Doc, f.Comment)", "has(t.Doc, f.Doc, f.Comment) || list != nil", "./internal/shape", "TestEachRuleFailsWithPlaceNameAndRule"},
	{"shape-no-output", "an Example that does not run passes", "internal/shape/examples.go",
		"if e.Output == \"\" && !e.EmptyOutput {", "if e.Output == \"\" && e.EmptyOutput {", "./internal/shape", "TestEachRuleFailsWithPlaceNameAndRule"},
	{"shape-no-example", "a method needs no Example", "internal/shape/examples.go",
		"return f.Recv != nil && (standard", "return f.Recv != nil || (standard", "./internal/shape", "TestWhatHasNoExampleIsNamed"},
}
