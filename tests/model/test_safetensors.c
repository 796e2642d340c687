/* safetensors files by hand: what the format allows is read, also where others wrote it; whatever
 * else may stand there is refused with what is wrong, by who copies and by who maps. */
#include "model/safetensors.h"
#include "support/check.h"

static const char *path;
static float a[4], b[2];
static const bv_named_tensor model[] = {{"a", BV_F32, 2, {2, 2}, a}, {"b", BV_F32, 1, {2}, b}};

/* length: of the header, as the file tells it; 0: as it is, with spaces up to a multiple of four.
 * data: bytes, of which each float has its index. */
static void write_file(const char *header, uint64_t length, size_t data) {
    bv_buffer file = {0};
    const size_t padding = length ? 0 : 3 - (strlen(header) + 3) % 4;
    if (!length) length = strlen(header) + padding;
    for (int i = 0; i < 8; i++) bv_buffer_append(&file, &(char){(char)(length >> 8 * i)}, 1);
    bv_buffer_printf(&file, "%s%*s", header, (int)padding, "");
    for (size_t i = 0; i < data; i++) {
        const float value = (float)(i / 4);
        bv_buffer_append(&file, (const char *)&value + i % 4, 1);
    }
    assert_ok(bv_file_write(path, file.data, file.size));
    bv_buffer_free(&file);
}

static bv_status map_file(void) {
    bv_named_tensor list[2] = {model[0], model[1]};
    bv_map map;
    BV_TRY(bv_safetensors_map(path, list, 2, &map));
    for (size_t i = 0; i < 2; i++)
        memcpy(model[i].data, list[i].data, bv_named_tensor_elements(&model[i]) * sizeof(float));
    bv_map_close(&map);
    return BV_OK;
}

#define A "\"a\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]}"
#define B "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[16,24]}"
#define B_AT(offsets) "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":" offsets "}"

static void reads(const char *header) {
    for (int way = 0; way < 2; way++) {
        memset(a, 0, sizeof a);
        memset(b, 0, sizeof b);
        write_file(header, 0, 24);
        assert_ok(way ? map_file() : bv_safetensors_read(path, model, 2));
        for (int i = 0; i < 4; i++) assert_true(a[i] == (float)i);
        assert_true(b[0] == 4 && b[1] == 5);
    }
}

static void test_what_the_format_allows(void **state) {
    (void)state;
    reads("{" A "," B "}");
    reads("{" B "," A "}");
    reads("{\"__metadata__\":{\"format\":\"pt\"}," A "," B "}");
}

static void test_refused(void **state) {
    (void)state;
    static const struct {
        const char *header;
        uint64_t length;
        size_t data;
        const char *says;
    } rows[] = {
        {"{" A "," B "}", UINT64_MAX, 24, "cut off, or no safetensors file"},
        {"{" A "," B "}", (uint64_t)1 << 63, 24, "cut off, or no safetensors file"},
        {"{" A "," B "}", 200, 24, "cut off, or no safetensors file"},
        {"{" A "," B "}", 9, 24, "not JSON"},
        {"", 0, 24, "not JSON"},
        {"[" A "]", 0, 24, "not JSON"},
        {"[1]", 0, 24, "\"a\" is missing"},
        {"{" A "," A "," B "}", 0, 24, "not JSON: duplicate object key"},
        {"{" A "}", 0, 24, "\"b\" is missing"},
        {"{" A "," B ",\"c\":{}}", 0, 24, "it has 3 tensors, the model 2"},
        {"{\"__metadata__\":{}," A "}", 0, 24, "\"b\" is missing"},
        {"{" A ",\"b\":7}", 0, 24, "\"b\" has no shape"},
        {"{" A ",\"b\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[16,20]}}", 0, 20,
         "\"b\" is BF16, not F32"},
        {"{" A ",\"b\":{\"shape\":[2],\"data_offsets\":[16,24]}}", 0, 24, "\"b\" is ?, not F32"},
        {"{" A ",\"b\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[16,24]}}", 0, 24,
         "\"b\": the file has [-2]"},
        {"{" A ",\"b\":{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[16,24]}}", 0, 24,
         "\"b\": the file has [1, 2]"},
        {"{" A ",\"b\":{\"dtype\":\"F32\",\"shape\":[9223372036854775808]}}", 0, 24, "not JSON"},
        {"{" A "," B_AT("[-8,0]") "}", 0, 24, "bytes -8..0"},
        {"{" A "," B_AT("[24,16]") "}", 0, 24, "bytes 24..16"},
        {"{" A "," B_AT("[9223372036854775800,9223372036854775807]") "}", 0, 24, "do not hold"},
        {"{" A "," B_AT("[16,28]") "}", 0, 28, "bytes 16..28 do not hold its 8"},
        {"{" A "," B_AT("7") "}", 0, 24, "bytes 0..0 do not hold its 8"},
        {"{" A "," B "}", 0, 20, "bytes 16..24"},
        {"{" A "," B "}", 0, 25, "its data have 25 bytes, its tensors 24"},
        {"{" A "," B_AT("[8,16]") "}", 0, 16, "its data have 16 bytes, its tensors 24"},
        {"{" A "," B_AT("[20,28]") "}", 0, 28, "its data have 28 bytes, its tensors 24"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        write_file(rows[i].header, rows[i].length, rows[i].data);
        assert_fails(bv_safetensors_read(path, model, 2), BV_CODE_INPUT, rows[i].says);
        assert_fails(map_file(), BV_CODE_INPUT, rows[i].says);
    }
}

/* Read in place, floats must stand at multiples of four. */
static void test_alignment(void **state) {
    (void)state;
    int mapped = 0;
    for (int spaces = 0; spaces < 4; spaces++) {
        char header[200];
        snprintf(header, sizeof header, "{" A "," B "}%*s", spaces, "");
        write_file(header, strlen(header), 24);
        assert_ok(bv_safetensors_read(path, model, 2));
        bv_error *error = map_file();
        if (error)
            assert_fails(error, BV_CODE_INPUT, "is not aligned");
        else
            mapped++;
    }
    assert_int_equal(mapped, 1);
}

/* A header of that length would take a hundred times its bytes of memory: a hole, nothing reads it.
 */
static void test_endless_header(void **state) {
    (void)state;
    const uint64_t length = 200000000;
    write_file("{", length, 0);
    assert_int_equal(truncate(path, 8 + (off_t)length), 0);
    assert_fails(bv_safetensors_read(path, model, 2), BV_CODE_INPUT, "its header has 200000000");
}

static int begin(void **state) {
    *state = make_folder();
    path = path_in(*state, "file.safetensors");
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_the_format_allows),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_alignment),
        cmocka_unit_test(test_endless_header),
    };
    return cmocka_run_group_tests(tests, begin, folder_teardown);
}
