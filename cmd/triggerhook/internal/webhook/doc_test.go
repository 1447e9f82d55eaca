package webhook_test

import (
	_ "github.com/cloudevents/sdk-go/v2/event"
	_ "github.com/standard-webhooks/standard-webhooks/libraries/go"
	_ "go.uber.org/goleak"
)
