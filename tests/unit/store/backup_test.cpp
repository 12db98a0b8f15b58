// Backup, verification and compaction, of a store in use and of one that nobody has open.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "broker/store/admin_verbs.hpp"
#include "broker/store/epoch_file.hpp"
#include "tests/unit/store/directory.hpp"
#include "tests/unit/store/model_main.hpp"

namespace retire::store {
namespace {

namespace fs = std::filesystem;

std::unique_ptr<Store> open(const std::string& directory) {
  Result<std::unique_ptr<Store>> store = open_embedded(options_in(directory));
  if (!store.ok()) ADD_FAILURE() << store.error().detail;
  return store.ok() ? std::move(store.value()) : nullptr;
}

std::uint64_t figure(const Result<Figures>& figures, const std::string& name) {
  if (!figures.ok()) {
    ADD_FAILURE() << figures.error().detail;
    return 0;
  }
  for (const auto& [key, value] : figures.value()) {
    if (key == name) return value;
  }
  ADD_FAILURE() << "no " << name;
  return 0;
}

void expect_refused(const Result<Figures>& figures, ErrorCode code, const std::string& says) {
  ASSERT_FALSE(figures.ok());
  EXPECT_EQ(figures.error().code, code);
  EXPECT_NE(figures.error().detail.find(says), std::string::npos) << figures.error().detail;
}

// A main that stopped without closing its store: there is a log to recover.
void use(const Directory& directory, ModelMain& model) {
  std::string error;
  const auto store = open(directory.store());
  ASSERT_TRUE(store && model.attach(*store, error)) << error;
  for (int i = 0; i < 500; ++i) model.step();
  ASSERT_TRUE(model.settle());
}

TEST(Backup, OfAStoreInUseIsAStoreOfItsOwn) {
  const Directory directory;
  ASSERT_TRUE(write_epoch(directory.path(), 7).ok());
  ModelMain model(4);
  const auto store = open(directory.store());
  ASSERT_TRUE(store);
  std::string error;
  ASSERT_TRUE(model.attach(*store, error));
  for (int i = 0; i < 500; ++i) model.step();
  ASSERT_TRUE(model.settle());
  const Result<Figures> made = backup_store(directory.path(), directory / "copy", true);
  EXPECT_GT(figure(made, "bytes"), 1'000u);
  EXPECT_EQ(figure(made, "epoch"), 7 + kBackupEpochs);
  EXPECT_GT(figure(verify_store(directory.path(), true), "records"), 100u);
  EXPECT_GT(figure(compact_store(directory.path(), true), "bytes_after"), 0u);
  ModelMain restored = model;
  for (int i = 0; i < 500; ++i) model.step();
  ASSERT_TRUE(model.settle());

  EXPECT_EQ(read_epoch(directory / "copy").value(), 7 + kBackupEpochs);
  struct stat mode {};
  ASSERT_EQ(::stat((directory / "copy").c_str(), &mode), 0);
  EXPECT_EQ(mode.st_mode & 0777, 0700u);
  EXPECT_FALSE(fs::exists(directory / "copy.partial"));
  EXPECT_EQ(figure(verify_store(directory / "copy", false), "closed_in_order"), 1u);
  const auto copy = open(directory / "copy/store");
  ASSERT_TRUE(copy);
  EXPECT_TRUE(copy->opened().clean);
  ASSERT_TRUE(restored.attach(*copy, error)) << error;
  // A second one into the same place is refused, and main goes on.
  expect_refused(backup_store(directory.path(), directory / "copy", true), ErrorCode::Io, "it is there already");
  EXPECT_TRUE(model.turn());
}

// Batches come, are dropped and rewritten while one backup after the other is made: each is whole, and has what was
// acknowledged before it was asked for.
TEST(Backup, WhileEverythingMoves) {
  const Directory directory;
  EmbeddedOptions options = options_in(directory.store());
  options.memtable_bytes = 64 << 10;
  options.drop_bytes_min = 16 << 10;
  options.tidy.garbage_bytes_min = 16 << 10;
  options.tidy.young_bytes = 8 << 10;
  options.tidy.young_segments = 8;
  options.tidy.small_segments_max = 32;
  ModelMain model(6);
  std::string error;
  Result<std::unique_ptr<Store>> store = open_embedded(options);
  ASSERT_TRUE(store.ok()) << store.error().detail;
  ASSERT_TRUE(model.attach(*store.value(), error));
  for (int round = 0; round < 5; ++round) {
    for (int i = 0; i < 400; ++i) {
      model.step();
      if (i % 8 == 0) {
        ASSERT_TRUE(model.turn());
      }
    }
    ASSERT_TRUE(model.settle());
    const Position acknowledged = model.acknowledged();
    const std::string copy = directory / ("copy" + std::to_string(round));
    std::atomic<bool> done = false;
    Result<Figures> made = Error{ErrorCode::Io, "not made"};
    std::thread backup([&] {
      made = backup_store(directory.path(), copy, true);
      done = true;
    });
    while (!done) {
      model.step();
      if (!model.turn()) break;
    }
    backup.join();
    ASSERT_TRUE(made.ok()) << made.error().detail;
    ASSERT_TRUE(model.settle());
    EXPECT_GT(figure(verify_store(copy, false), "records"), 0u);
    const auto restored = open(copy + "/store");
    ASSERT_TRUE(restored);
    EXPECT_GE(restored->durable().value(), acknowledged);
  }
}

TEST(Backup, OfAStoppedStore) {
  const Directory directory;
  ModelMain model(5);
  use(directory, model);
  EXPECT_EQ(figure(verify_store(directory.path(), false), "closed_in_order"), 0u);
  EXPECT_GT(figure(compact_store(directory.path(), false), "bytes_before"), 0u);
  ASSERT_TRUE(backup_store(directory.path(), directory / "copy", false).ok());
  std::string error;
  for (const std::string& path : {directory.store(), directory / "copy/store"}) {
    ModelMain each = model;
    const auto store = open(path);
    ASSERT_TRUE(store);
    EXPECT_TRUE(each.attach(*store, error)) << error;
  }
}

TEST(Backup, WhatIsInTheWayIsNamed) {
  const Directory directory;
  ModelMain model(5);
  use(directory, model);
  const auto backup = [&](const std::string& target) { return backup_store(directory.path(), target, false); };
  expect_refused(backup("copy"), ErrorCode::Io, "must begin with /");
  expect_refused(backup(directory / "a\nb"), ErrorCode::Io, "line break");
  expect_refused(backup(directory / "nowhere/copy"), ErrorCode::Io, "nowhere is no directory");
  expect_refused(backup(directory / "store/copy"), ErrorCode::Io, "in the store itself");
  fs::create_directory(directory / "copy.partial");
  expect_refused(backup(directory / "copy"), ErrorCode::Io, "copy.partial is there");
  EXPECT_TRUE(fs::exists(directory / "copy.partial")) << "not ours to remove";
  std::ofstream(directory / "epoch") << "many";
  expect_refused(backup(directory / "other"), ErrorCode::Configuration, "does not hold a number");
  EXPECT_FALSE(fs::exists(directory / "other.partial"));
}

TEST(Backup, NoStoreAndNoMain) {
  const Directory directory;
  fs::create_directory(directory / "empty");
  for (const std::string& path : {directory / "nowhere", directory / "empty"}) {
    expect_refused(backup_store(path, directory / "copy", false), ErrorCode::Configuration, "there is no store in");
    expect_refused(verify_store(path, false), ErrorCode::Configuration, "there is no store in");
    expect_refused(compact_store(path, false), ErrorCode::Configuration, "there is no store in");
  }
  EXPECT_TRUE(fs::is_empty(directory / "empty"));
  ModelMain model(5);
  use(directory, model);
  expect_refused(verify_store(directory.path(), true), ErrorCode::Unreachable, "admin.sock");
}

// One damaged byte in a data file: verification names it, and no backup is made of it that looks whole.
TEST(Backup, DamageIsNamed) {
  const Directory directory;
  ModelMain model(5);
  use(directory, model);
  ASSERT_TRUE(compact_store(directory.path(), false).ok());
  std::string data;
  for (const fs::directory_entry& file : fs::directory_iterator(directory.store())) {
    if (file.path().extension() == ".sst" && (data.empty() || file.file_size() > fs::file_size(data))) {
      data = file.path();
    }
  }
  ASSERT_FALSE(data.empty());
  std::fstream file(data, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(1'000);
  const int byte = file.get();
  file.seekp(1'000);
  file.put(static_cast<char>(byte ^ 4));
  file.close();
  expect_refused(verify_store(directory.path(), false), ErrorCode::StorageFailed, "is damaged");
  const Result<Figures> made = backup_store(directory.path(), directory / "copy", false);
  if (made.ok()) {
    expect_refused(verify_store(directory / "copy", false), ErrorCode::StorageFailed, "is damaged");
  }
}

TEST(Backup, FiguresAreReadAsWritten) {
  const Figures figures = {{"records", 0}, {"bytes_after", ~std::uint64_t{0}}};
  EXPECT_EQ(parse_figures(to_text(figures)).value(), figures);
  EXPECT_EQ(parse_figures("").value(), Figures());
  for (const char* text : {"a", "a=", "a=x", "a=1x", "a=-1", "=", "a=1 b", "a=18446744073709551616"}) {
    EXPECT_FALSE(parse_figures(text).ok()) << text;
  }
}

}  // namespace
}  // namespace retire::store
