package webhook_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/cmd/triggerhook/internal/webhook"
)

// Receive answers webhooks that are signed with a secret, and calls handle for each. handle is called again if its answer is lost, so it
// keeps the ids that it has done.
func Receive(secret string, handle func(id string, body []byte) error) (http.Handler, error) {
	verifier, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
		if err != nil {
			http.Error(w, "the body cannot be read", http.StatusBadRequest)
			return
		}
		if err := verifier.Verify(body, r.Header); err != nil {
			http.Error(w, "the signature is not right", http.StatusUnauthorized)
			return
		}
		if err := handle(r.Header.Get("webhook-id"), body); err != nil {
			w.Header().Set("Retry-After", "30") // with 503: try again, and then
			http.Error(w, "not now", http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}), nil
}

// A receiver verifies what a Sender sends.
func ExampleSender() {
	const secret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=" // make yours: openssl rand -base64 32
	receiver, err := Receive(secret, func(_ string, body []byte) error {
		fmt.Printf("%s\n", body)
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	server := httptest.NewServer(receiver)
	defer server.Close()
	s, err := webhook.New(webhook.Options{Secrets: []string{secret}, AllowPrivate: true})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	// A Scheduler calls Handle with what is due.
	err = s.Handle(context.Background(), &triggerhook.Delivery{Attempt: 1, Task: triggerhook.Task{
		ID: "order-7", Due: time.Now(), Payload: []byte(`{"order":7}`), Headers: map[string]string{webhook.HeaderURL: server.URL}}})
	fmt.Println(err)
	// Output:
	// {"order":7}
	// <nil>
}
