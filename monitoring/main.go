// Command monitoring writes grafana/dashboard.json: the dashboard of Trigger Hook for Grafana, by the metrics of package metrics.
//
//	go run .
package main

import (
	"encoding/json"
	"fmt"
	"os"
)

// path is where the dashboard is, from the folder of this module.
const path = "grafana/dashboard.json"

func main() {
	text, err := render()
	if err == nil {
		err = os.WriteFile(path, text, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "monitoring:", err)
		os.Exit(1)
	}
}

// render returns the file.
func render() ([]byte, error) {
	d, err := build().Build()
	if err != nil {
		return nil, fmt.Errorf("build the dashboard: %w", err)
	}
	text, err := json.MarshalIndent(d, "", "  ")
	return append(text, '\n'), err
}
