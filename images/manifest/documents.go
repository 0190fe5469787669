package manifest

import (
	"bytes"
	_ "embed" // for the schemas
	"encoding/json"
	"sync"

	"cloudlets/images/schema"
)

// The JSON schemas (draft 2020-12) that documents of the format are checked
// against when they are read. Code adds only what no schema can say. The
// "title" of a schema says what it wants in the words of an error: "is a number
// where an array of paths is needed".
var (
	//go:embed manifest.schema.json
	manifestSchema []byte
	//go:embed config.schema.json
	configSchema []byte
)

var (
	manifestStructure = sync.OnceValue(func() *schema.Structure { return schema.NewStructure(manifestSchema) })
	configStructure   = sync.OnceValue(func() *schema.Structure { return schema.NewStructure(configSchema) })
)

// Schema is the JSON schema (draft 2020-12) of a manifest, the very
// one that [Parse] checks manifests against.
func Schema() json.RawMessage { return bytes.Clone(manifestSchema) }
