package schema

import (
	"bytes"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"cloudlets/images/jsontext"
	"cloudlets/images/pattern"
)

// Structure says how one kind of document is built, by a JSON schema (draft
// 2020-12). The "title" of a schema in it says what is needed, in words that fit
// into a problem, e.g. "an array of paths".
type Structure struct {
	document any
	compiled *jsonschema.Schema
}

// structureURL identifies a schema of this program in the compiler.
const structureURL = "structure:schema"

// NewStructure reads a schema that is part of this program. It panics if the
// text is not a valid schema.
func NewStructure(text []byte) *Structure {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		panic(fmt.Sprintf("read a schema of this program: %v", err))
	}
	compiler := jsonschema.NewCompiler()
	compiler.UseRegexpEngine(func(text string) (jsonschema.Regexp, error) { return pattern.Compile(text) })
	compiler.UseLoader(noLoader{})
	if err := compiler.AddResource(structureURL, doc); err != nil {
		panic(fmt.Sprintf("read a schema of this program: %v", err))
	}
	return &Structure{document: doc, compiled: compiler.MustCompile(structureURL)}
}

// Document returns a copy of the schema, which the caller may change.
func (s *Structure) Document() map[string]any {
	doc, _ := clone(s.document).(map[string]any)
	return doc
}

// Check returns a problem for everything in a value that the schema does not
// allow.
func (s *Structure) Check(n *jsontext.Node) (problems jsontext.Problems) {
	invalid, ok := s.compiled.Validate(n.Plain()).(*jsonschema.ValidationError)
	if !ok {
		return nil
	}
	eachCause(invalid, func(cause *jsonschema.ValidationError) { s.tell(&problems, n, cause) })
	return problems
}

// tell adds the problems that one error of the library reports in the value
// at a node.
func (s *Structure) tell(problems *jsontext.Problems, n *jsontext.Node, e *jsonschema.ValidationError) {
	for _, name := range e.InstanceLocation {
		n = n.Child(name)
	}
	at := n.Place()
	switch k := e.ErrorKind.(type) {
	case *kind.Required:
		for _, name := range k.Missing {
			problems.Add(at, "has no %q: %s is needed", name, s.titleOf(e.SchemaURL, name))
		}
	case *kind.AdditionalProperties:
		for _, name := range k.Properties {
			if m, ok := n.Member(name); ok {
				problems.Add(m.Place(), "has no place in %s", s.title(e.SchemaURL))
			}
		}
	case *kind.Type:
		problems.Add(at, "is %s where %s is needed", n.Kind(), s.title(e.SchemaURL))
	default:
		problems.Add(at, "is %s where %s is needed", n.Show(), s.title(e.SchemaURL))
	}
}

// title says what the schema at a URL requires.
func (s *Structure) title(schemaURL string) string {
	chain := s.chain(schemaURL)
	if title, ok := field(chain[len(chain)-1], "title").(string); ok {
		return title
	}
	return "something else"
}

// titleOf says what a property must be. It takes that from the innermost schema
// around the one at the URL that describes the property.
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

// chain returns the values of the schema's document that lead from its root to
// the value to which the fragment of a URL points.
func (s *Structure) chain(schemaURL string) []any {
	_, fragment, _ := strings.Cut(schemaURL, "#")
	if plain, err := url.PathUnescape(fragment); err == nil {
		fragment = plain
	}
	at, chain := s.document, []any{s.document}
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

// field returns a member of a value. It returns nil if the value is not an
// object or has no such member.
func field(value any, name string) any {
	object, _ := value.(map[string]any)
	return object[name]
}
