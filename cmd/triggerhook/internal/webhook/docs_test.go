package webhook

import (
	"os"
	"strings"
	"testing"
)

// The page for receivers has the code of the Example, line by line, and names each header and metric.
func TestThePageForReceivers(t *testing.T) {
	page := string(must(os.ReadFile("../../../../docs/webhooks.md"))(t))
	file := string(must(os.ReadFile("example_test.go"))(t))
	from := strings.Index(file, "// Receive answers")
	to := from + strings.Index(file[from:], "\n}\n") + 3
	if !strings.Contains(page, "```go\n"+file[from:to]+"```\n") {
		t.Errorf("docs/webhooks.md does not have this:\n%s", file[from:to])
	}
	for _, name := range []string{HeaderURL, HeaderContentType, HeaderID, HeaderTimestamp, HeaderSignature, HeaderTaskID, HeaderAttempt, HeaderDue} {
		if !strings.Contains(page, "`"+name+"`") {
			t.Errorf("docs/webhooks.md does not name the header %s", name)
		}
	}
	for name := range gathered(t, newSender(t, Options{})) {
		if !strings.Contains(page, "`"+name+"`") {
			t.Errorf("docs/webhooks.md does not name the metric %s", name)
		}
	}
	for _, outcome := range outcomes {
		if !strings.Contains(page, "`"+outcome+"`") {
			t.Errorf("docs/webhooks.md does not name the outcome %s", outcome)
		}
	}
}
