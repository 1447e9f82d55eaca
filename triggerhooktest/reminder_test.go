package triggerhooktest_test

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/triggerhooktest"
)

// Shop is code under test: it reminds customers of orders that are not paid after a day.
type Shop struct {
	tasks *triggerhook.Scheduler
	now   func() time.Time
}

// Order takes an order.
func (s Shop) Order(id string) error {
	return s.tasks.Create(context.Background(), &triggerhook.Task{ID: "remind-" + id, Due: s.now().Add(24 * time.Hour)})
}

// Paid takes a payment.
func (s Shop) Paid(id string) error { return s.tasks.Delete(context.Background(), "remind-"+id) }

func TestTheReminderIsSentAfterADayUnlessPaid(t *testing.T) {
	s := triggerhooktest.New(t, triggerhook.Options{})
	var sent []string
	s.Handle(func(ctx context.Context, d *triggerhook.Delivery) error {
		sent = append(sent, d.ID)
		return nil
	})
	shop := Shop{s.Scheduler, s.Now} // the code under test
	shop.Order("17")
	shop.Order("18")
	s.Advance(23 * time.Hour)
	shop.Paid("18")
	s.RequireNotCreated(t, "remind-18")
	s.Advance(time.Hour)
	if !slices.Equal(sent, []string{"remind-17"}) {
		t.Errorf("reminders were sent for %q", sent)
	}
}

// The test on the package page is the one above, line by line.
func TestThePackagePageHasTheTest(t *testing.T) {
	page, err := os.ReadFile("triggerhooktest.go")
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile("reminder_test.go")
	if err != nil {
		t.Fatal(err)
	}
	from := strings.Index(string(file), "func TestTheReminderIsSent")
	to := from + strings.Index(string(file)[from:], "\n}\n")
	want := "//\t" + strings.ReplaceAll(string(file)[from:to]+"\n}", "\n", "\n//\t")
	if !strings.Contains(string(page), want) {
		t.Errorf("the package page does not have this:\n%s", want)
	}
}
