package interop

import (
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/extensions"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// A column of a type, as the JSON from which arrow-go builds arrays.
type column struct {
	name string
	kind arrow.DataType
	json string
}

// pairs gives metadata of keys and values in turn.
func pairs(texts ...string) arrow.Metadata {
	var keys, values []string
	for i := 0; i < len(texts); i += 2 {
		keys = append(keys, texts[i])
		values = append(values, texts[i+1])
	}
	return arrow.NewMetadata(keys, values)
}

var unionFields = []arrow.Field{
	{Name: "i", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
	{Name: "s", Type: arrow.BinaryTypes.String, Nullable: true},
}

// Every type of arrow-go; among them the year-month and day-time intervals that pyarrow cannot make.
func columns() []column {
	codes := []arrow.UnionTypeCode{5, 0}
	structType := arrow.StructOf(
		arrow.Field{Name: "x", Type: arrow.PrimitiveTypes.Int32, Nullable: true},
		arrow.Field{Name: "y", Type: arrow.ListOf(arrow.BinaryTypes.String), Nullable: true},
	)
	return []column{
		{"null", arrow.Null, `[null, null, null]`},
		{"bool", arrow.FixedWidthTypes.Boolean, `[true, null, false]`},
		{"int8", arrow.PrimitiveTypes.Int8, `[-128, null, 127]`},
		{"int16", arrow.PrimitiveTypes.Int16, `[-32768, null, 32767]`},
		{"int32", arrow.PrimitiveTypes.Int32, `[-2147483648, null, 2147483647]`},
		{"int64", arrow.PrimitiveTypes.Int64, `[-9223372036854775807, null, 7]`},
		{"uint8", arrow.PrimitiveTypes.Uint8, `[0, null, 255]`},
		{"uint16", arrow.PrimitiveTypes.Uint16, `[0, null, 65535]`},
		{"uint32", arrow.PrimitiveTypes.Uint32, `[0, null, 4294967295]`},
		{"uint64", arrow.PrimitiveTypes.Uint64, `[0, null, 9007199254740991]`},
		{"float16", arrow.FixedWidthTypes.Float16, `[1.5, null, -2]`},
		{"float32", arrow.PrimitiveTypes.Float32, `[1.5, null, -2]`},
		{"float64", arrow.PrimitiveTypes.Float64, `[1.5, null, -2e300]`},
		{"decimal32", &arrow.Decimal32Type{Precision: 7, Scale: 2}, `["1.50", null, "-99999.99"]`},
		{"decimal64", &arrow.Decimal64Type{Precision: 16, Scale: 2}, `["1.50", null, "-2.25"]`},
		{"decimal128", &arrow.Decimal128Type{Precision: 38, Scale: 2}, `["1.50", null, "-2.25"]`},
		{"decimal256", &arrow.Decimal256Type{Precision: 76, Scale: 2}, `["1.50", null, "-2.25"]`},
		{"string", arrow.BinaryTypes.String, `["", null, "grüße"]`},
		{"large string", arrow.BinaryTypes.LargeString, `["", null, "grüße"]`},
		{"string view", arrow.BinaryTypes.StringView, `["short", null, "longer than twelve bytes"]`},
		{"binary", arrow.BinaryTypes.Binary, `["AAE=", null, ""]`},
		{"large binary", arrow.BinaryTypes.LargeBinary, `["AAE=", null, ""]`},
		{"binary view", arrow.BinaryTypes.BinaryView, `["AAECAwQFBgcICQoLDA0ODw==", null, ""]`},
		{"fixed binary", &arrow.FixedSizeBinaryType{ByteWidth: 3}, `["AAEC", null, "////"]`},
		{"date32", arrow.FixedWidthTypes.Date32, `["1969-12-31", null, "2026-05-04"]`},
		{"date64", arrow.FixedWidthTypes.Date64, `["1969-12-31", null, "2026-05-04"]`},
		{"time32 s", arrow.FixedWidthTypes.Time32s, `["00:00:00", null, "23:59:59"]`},
		{"time32 ms", arrow.FixedWidthTypes.Time32ms, `["00:00:00.001", null, "23:59:59.999"]`},
		{"time64 us", arrow.FixedWidthTypes.Time64us, `["00:00:00.000001", null, "23:59:59"]`},
		{"time64 ns", arrow.FixedWidthTypes.Time64ns, `["00:00:00.000000001", null, "23:59:59"]`},
		{"timestamp s", arrow.FixedWidthTypes.Timestamp_s, `["1969-12-31 23:59:59", null, "2026-05-04"]`},
		{"timestamp ns", &arrow.TimestampType{Unit: arrow.Nanosecond, TimeZone: "Europe/Berlin"},
			`["1969-12-31 23:59:59", null, "2026-05-04"]`},
		{"timestamp us", &arrow.TimestampType{Unit: arrow.Microsecond}, `["2026-05-04", null, "2026-05-05"]`},
		{"duration", arrow.FixedWidthTypes.Duration_ms, `["-5ms", null, "7ms"]`},
		{"months", arrow.FixedWidthTypes.MonthInterval, `[{"months": -1}, null, {"months": 25}]`},
		{"day and time", arrow.FixedWidthTypes.DayTimeInterval,
			`[{"days": 1, "milliseconds": -2}, null, {"days": 0, "milliseconds": 0}]`},
		{"month, day, nano", arrow.FixedWidthTypes.MonthDayNanoInterval,
			`[{"months": 1, "days": 2, "nanoseconds": 3}, null, {"months": 0, "days": 0, "nanoseconds": 0}]`},
		{"list", arrow.ListOf(arrow.PrimitiveTypes.Int32), `[[1, null], null, []]`},
		{"large list", arrow.LargeListOf(arrow.BinaryTypes.String), `[["a"], null, []]`},
		{"list view", arrow.ListViewOf(arrow.PrimitiveTypes.Int16), `[[1, 2], null, []]`},
		{"large list view", arrow.LargeListViewOf(arrow.PrimitiveTypes.Int16), `[[1, 2], null, []]`},
		{"fixed list", arrow.FixedSizeListOf(2, arrow.PrimitiveTypes.Float32), `[[1, 2], null, [3, null]]`},
		{"map", arrow.MapOf(arrow.BinaryTypes.String, arrow.PrimitiveTypes.Int32),
			`[[{"key": "k", "value": 1}], null, []]`},
		{"struct", structType, `[{"x": 1, "y": ["a", null]}, null, {"x": null, "y": null}]`},
		{"dense union", arrow.DenseUnionOf(unionFields, codes), `[[5, 7], [0, "text"], [5, null]]`},
		{"sparse union", arrow.SparseUnionOf(unionFields, codes), `[[5, 7], [0, "text"], [5, null]]`},
		{"dictionary", &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.BinaryTypes.String},
			`["a", null, "a"]`},
		{"ordered dictionary", &arrow.DictionaryType{
			IndexType: arrow.PrimitiveTypes.Uint32, ValueType: arrow.PrimitiveTypes.Int64, Ordered: true}, `[9, null, 8]`},
		{"list of dictionaries", arrow.ListOf(&arrow.DictionaryType{
			IndexType: arrow.PrimitiveTypes.Int16, ValueType: arrow.BinaryTypes.String}), `[["a", "b"], null, ["a"]]`},
		{"run ends", arrow.RunEndEncodedOf(arrow.PrimitiveTypes.Int32, arrow.BinaryTypes.String), `["a", "a", null]`},
		{"run ends of 64 bits", arrow.RunEndEncodedOf(arrow.PrimitiveTypes.Int64, arrow.PrimitiveTypes.Float64), `[1, 1, 2]`},
		{"bool8", extensions.NewBool8Type(), `[true, null, false]`},
		{"uuid", extensions.NewUUIDType(),
			`["b6e5b9a0-7a3f-4f44-9f3c-1d8b6d9f0001", null, "b6e5b9a0-7a3f-4f44-9f3c-1d8b6d9f0002"]`},
		{"opaque", extensions.NewOpaqueType(arrow.PrimitiveTypes.Int32, "thing", "vendor"), `[1, null, 2]`},
	}
}

// arrayOf builds the column's array, one row for each value of its JSON.
func arrayOf(t *testing.T, c column) arrow.Array {
	t.Helper()
	arr, _, err := array.FromJSON(memory.DefaultAllocator, c.kind, strings.NewReader(c.json))
	if err != nil {
		t.Fatalf("%s: %v", c.name, err)
	}
	return arr
}

func fieldOf(c column) arrow.Field {
	return arrow.Field{Name: c.name, Type: c.kind, Nullable: true, Metadata: pairs("seen", "yes")}
}

// batchOf gives one batch of the columns, each of three rows.
func batchOf(t *testing.T, list []column) arrow.RecordBatch {
	t.Helper()
	var fields []arrow.Field
	var arrays []arrow.Array
	for _, c := range list {
		fields = append(fields, fieldOf(c))
		arrays = append(arrays, arrayOf(t, c))
	}
	of := pairs("of", "the schema", "twice", "1", "twice", "2")
	return array.NewRecordBatch(arrow.NewSchema(fields, &of), arrays, 3)
}
