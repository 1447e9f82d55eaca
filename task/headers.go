package task

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// MaxHeaders is how many bytes a task's encoded headers have at most: the width of the headers column.
const MaxHeaders = 8 << 10

// EncodeHeaders returns headers in the form in which both stores keep them: a JSON object of strings, its keys sorted as
// bytes, without white space and with nothing escaped that JSON allows as it is. Equal headers have equal encodings. No
// headers are the empty string, and that allocates nothing.
//
// The error matches ErrInvalid: a key is empty, a key or a value is not valid UTF-8, or the encoding has more than
// MaxHeaders bytes. It names the key and the rule, and no value, because values may be secret.
func EncodeHeaders(headers map[string]string) (string, error) {
	if len(headers) == 0 {
		return "", nil
	}
	if err := checkHeaders(headers); err != nil {
		return "", err
	}
	var text strings.Builder
	to := json.NewEncoder(&text)
	to.SetEscapeHTML(false)
	if err := to.Encode(headers); err != nil {
		return "", fmt.Errorf("encode headers: %w", err)
	}
	encoded := strings.TrimSuffix(text.String(), "\n")
	if len(encoded) > MaxHeaders {
		return "", tooManyHeaders(len(headers), len(encoded))
	}
	return encoded, nil
}

// checkHeaders refuses headers that cannot be encoded. It names the first of them by its key.
func checkHeaders(headers map[string]string) error {
	size := HeadersSize(headers)
	if size > MaxHeaders {
		return tooManyHeaders(len(headers), size)
	}
	for _, key := range slices.Sorted(maps.Keys(headers)) {
		switch {
		case key == "":
			return fmt.Errorf("%w: a header's key is empty", ErrInvalid)
		case !utf8.ValidString(key):
			return fmt.Errorf("%w: header key %q is not valid UTF-8", ErrInvalid, key)
		case !utf8.ValidString(headers[key]):
			return fmt.Errorf("%w: the value of header %q is not valid UTF-8", ErrInvalid, key)
		}
	}
	return nil
}

func tooManyHeaders(n, size int) error {
	return fmt.Errorf("%w: %d headers have %d bytes or more when they are encoded, at most %d are allowed", ErrInvalid, n, size, MaxHeaders)
}

// HeadersSize returns how many bytes keys and values have. The encoding is longer: by 6 bytes a header or somewhat
// more, and by what JSON has to escape.
func HeadersSize(headers map[string]string) (n int) {
	for key, value := range headers {
		n += len(key) + len(value)
	}
	return n
}

// DecodeHeaders reads what EncodeHeaders wrote. The empty string is nil.
func DecodeHeaders(encoded string) (map[string]string, error) {
	if encoded == "" {
		return nil, nil
	}
	var headers map[string]string // below, because it goes to the heap
	if err := json.Unmarshal([]byte(encoded), &headers); err != nil {
		return nil, fmt.Errorf("%d bytes of headers are not a JSON object of strings", len(encoded)) // err may quote a value
	}
	if len(headers) == 0 {
		return nil, nil
	}
	return headers, nil
}
