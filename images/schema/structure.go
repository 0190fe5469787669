package schema

import (
	"bytes"
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"cloudlets/images/jsontext"
	"cloudlets/images/pattern"
)

// structure is how one kind of document is built.
type Structure struct {
	Document any
	compiled *jsonschema.Schema
}

// structureURL stands for a schema of ours inside the compiler.
const structureURL = "structure:schema"

// newStructure reads one of the schemas of this package, which are right.
func NewStructure(text []byte) *Structure {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		panic(fmt.Sprintf("schema of this package: %v", err))
	}
	compiler := jsonschema.NewCompiler()
	compiler.UseRegexpEngine(func(text string) (jsonschema.Regexp, error) { return pattern.Compile(text) })
	compiler.UseLoader(noLoader{})
	if err := compiler.AddResource(structureURL, doc); err != nil {
		panic(fmt.Sprintf("schema of this package: %v", err))
	}
	return &Structure{Document: doc, compiled: compiler.MustCompile(structureURL)}
}

// check tells all that the schema refuses in a document.
func (s *Structure) Check(r *jsontext.Report, root *jsontext.Node) {
	invalid, ok := s.compiled.Validate(root.Plain()).(*jsonschema.ValidationError)
	if !ok {
		return
	}
	var flaws []flaw
	collect(invalid, func(e *jsonschema.ValidationError) {
		flaws = append(flaws, flaw{root.OffsetOf(e.InstanceLocation), e})
	})
	slices.SortStableFunc(flaws, func(a, b flaw) int { return cmp.Compare(a.offset, b.offset) })
	for _, f := range flaws[:min(len(flaws), maxFlaws)] {
		s.tell(r, root, f.ValidationError)
	}
}

// flaw is what the schema refuses, and where in the text it stands.
type flaw struct {
	offset int
	*jsonschema.ValidationError
}

// maxFlaws is how many flaws of a document are put into words: some more
// than are told, for two may be one.
const maxFlaws = 4 * jsontext.MaxProblems

// tell puts one flaw into words.
func (s *Structure) tell(r *jsontext.Report, root *jsontext.Node, e *jsonschema.ValidationError) {
	path, n := root.Find(e.InstanceLocation)
	switch k := e.ErrorKind.(type) {
	case *kind.Required:
		for _, name := range k.Missing {
			r.Add(n.Offset, path, "has no %q: %s is needed", name, s.titleOf(e.SchemaURL, name))
		}
	case *kind.AdditionalProperties:
		for _, name := range k.Properties {
			at, offset := jsontext.Pointer(path, name), n.Offset
			if m := n.Member(name); m != nil {
				offset = m.Offset
			}
			r.Add(offset, at, "has no place in %s", s.title(e.SchemaURL))
		}
	case *kind.Type:
		r.Add(n.Offset, path, "is %s where %s is needed", n.Kind(), s.title(e.SchemaURL))
	default:
		r.Add(n.Offset, path, "is %s where %s is needed", n.Show(), s.title(e.SchemaURL))
	}
}

// title says what the schema at a URL wants.
func (s *Structure) title(schemaURL string) string {
	chain := s.chain(schemaURL)
	if title, ok := field(chain[len(chain)-1], "title").(string); ok {
		return title
	}
	return "something else"
}

// titleOf says what is wanted of a property, by the innermost schema around
// the one at the URL that knows it.
func (s *Structure) titleOf(schemaURL, name string) string {
	chain := s.chain(schemaURL)
	for i := len(chain) - 1; i >= 0; i-- {
		property := field(field(chain[i], "properties"), name)
		if title, ok := field(property, "title").(string); ok {
			return title
		}
		if ref, ok := field(property, "$ref").(string); ok {
			return s.title(ref)
		}
	}
	return "it"
}

// chain is the values of the schema's document from its root to the one that
// the fragment of a URL points to.
func (s *Structure) chain(schemaURL string) []any {
	_, fragment, _ := strings.Cut(schemaURL, "#")
	if plain, err := url.PathUnescape(fragment); err == nil {
		fragment = plain
	}
	at, chain := s.Document, []any{s.Document}
	for name := range strings.SplitSeq(strings.TrimPrefix(fragment, "/"), "/") {
		if list, ok := at.([]any); ok {
			if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(list) {
				at = list[i]
			}
		} else if name != "" {
			at = field(at, strings.NewReplacer("~1", "/", "~0", "~").Replace(name))
		}
		chain = append(chain, at)
	}
	return chain
}

// field is a member of a value that may be an object, or nil.
func field(value any, name string) any {
	object, _ := value.(map[string]any)
	return object[name]
}
