package webhook

import (
	"os"
	"strings"
	"testing"
)

// The page for receivers names each header, metric and outcome. That it has the code of the Example, internal/snippets checks.
func TestThePageForReceivers(t *testing.T) {
	page := string(must(os.ReadFile("../../../../docs/webhooks.md"))(t))
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
