// Names, blocks and sizes of ggml's storage types, so that files with types which are not computed with can
// be checked and refused by name.
#include <fmt/format.h>

#include <algorithm>

#include "model/gguf.hpp"

namespace serveloop::model::gguf {
namespace {

constexpr StorageType kStorageTypes[] = {
    {0, "F32", 1, 4, Type::f32},     {1, "F16", 1, 2, Type::f16},    {2, "Q4_0", 32, 18, Type::q4_0},
    {3, "Q4_1", 32, 20, Type::q4_1}, {6, "Q5_0", 32, 22, {}},        {7, "Q5_1", 32, 24, {}},
    {8, "Q8_0", 32, 34, Type::q8_0}, {9, "Q8_1", 32, 40, {}},        {10, "Q2_K", 256, 84, {}},
    {11, "Q3_K", 256, 110, {}},      {12, "Q4_K", 256, 144, {}},     {13, "Q5_K", 256, 176, {}},
    {14, "Q6_K", 256, 210, {}},      {15, "Q8_K", 256, 292, {}},     {16, "IQ2_XXS", 256, 66, {}},
    {17, "IQ2_XS", 256, 74, {}},     {18, "IQ3_XXS", 256, 98, {}},   {19, "IQ1_S", 256, 50, {}},
    {20, "IQ4_NL", 32, 18, {}},      {21, "IQ3_S", 256, 110, {}},    {22, "IQ2_S", 256, 82, {}},
    {23, "IQ4_XS", 256, 136, {}},    {24, "I8", 1, 1, {}},           {25, "I16", 1, 2, {}},
    {26, "I32", 1, 4, {}},           {27, "I64", 1, 8, {}},          {28, "F64", 1, 8, {}},
    {29, "IQ1_M", 256, 56, {}},      {30, "BF16", 1, 2, Type::bf16}, {34, "TQ1_0", 256, 54, {}},
    {35, "TQ2_0", 256, 66, {}},      {39, "MXFP4", 32, 17, {}},      {40, "NVFP4", 64, 36, {}},
    {41, "Q1_0", 128, 18, {}},
};

constexpr bool table_agrees() {
  for (const StorageType& storage : kStorageTypes)
    if (storage.type && (info(*storage.type).block_values != storage.block_values ||
                         info(*storage.type).block_bytes != storage.block_bytes))
      return false;
  return true;
}
static_assert(table_agrees());

constexpr std::string_view kValueNames[] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                            "bool", "string", "array", "u64", "i64", "f64"};

std::string known_types() {
  std::string names;
  for (const TypeInfo& type : kTypeInfo) names += (names.empty() ? "" : ", ") + std::string(type.name);
  return names;
}

}  // namespace

std::string_view name_of(ValueType type) { return kValueNames[static_cast<std::size_t>(type)]; }

const StorageType* storage_type(std::uint32_t id) {
  const auto* const found = std::ranges::find(kStorageTypes, id, &StorageType::id);
  return found == std::end(kStorageTypes) ? nullptr : found;
}

Result<Tensor> as_matrix(const TensorInfo& info, const std::string& source) {
  const auto refuse = [&](std::string expected, std::string found) {
    return fail(fmt::format("{}: tensor '{}'", source, info.name), std::move(expected), std::move(found));
  };
  if (!info.storage->type) return refuse("one of " + known_types(), info.storage->name);
  if (info.size[2] != 1 || info.size[3] != 1)
    return refuse("at most two dimensions", fmt::format("{}", info.dimensions));
  if (info.size[0] > UINT32_MAX || info.size[1] > UINT32_MAX)
    return refuse("dimensions below 2^32", fmt::format("{} x {}", info.size[1], info.size[0]));
  return Tensor{*info.storage->type, static_cast<std::uint32_t>(info.size[1]),
                static_cast<std::uint32_t>(info.size[0]), info.bytes.data()};
}

}  // namespace serveloop::model::gguf
