package ejs

import (
	"bytes"
	"encoding/json"
	"testing"
)

// FuzzMayHaveLarge holds that no large integer is overlooked by the form of the
// numbers in valid data.
func FuzzMayHaveLarge(f *testing.F) {
	for _, data := range []string{`{"a": 12345678901234567891}`, `{"a\"1": [-9007199254740993, 1e22]}`, `{"\\": 9.007199254740993E15}`, `"1e5`, `{"a": "\u005c", "b": 99999999999999999}`} {
		f.Add([]byte(data))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		may := mayHaveLarge(data)
		d := json.NewDecoder(bytes.NewReader(data))
		d.UseNumber()
		var value any
		if !json.Valid(data) || d.Decode(&value) != nil {
			return
		}
		if large := appendLarge(nil, nil, value); len(large) > 0 && !may {
			t.Errorf("%q has %v, which was overlooked", data, large)
		}
	})
}

// TestDataWithoutLarge shows which texts are known to have no large integer, so that
// they are not decoded once more.
func TestDataWithoutLarge(t *testing.T) {
	const data = `{"mac": "5e:12:34:56:78:9a", "id": "12345678901234567", "n": 123456789012345, "x": [1.5, -2, true], "9e9": null}`
	if mayHaveLarge([]byte(data)) {
		t.Errorf("%s is taken for data with a large integer", data)
	}
}
