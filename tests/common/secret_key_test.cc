#include "common/secret_key.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "tests/support/subprocess.h"

namespace cohort::secret_key_test {
namespace {

using ::testing::HasSubstr;
using testing::TemporaryFolder;

// The first vectors of the authors' reference code (vectors_sip128), and one from `openssl mac` of a message of two words.
TEST(SecretKey, DigestsAsTheReferenceDoes) {
  std::array<std::uint8_t, SecretKey::kBytes> bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(i);
  const SecretKey key(bytes);
  const auto digest = [&](std::size_t size) {
    std::string message;
    for (std::size_t i = 0; i < size; ++i) message += static_cast<char>(i);
    const Hash128 of = key.Digest(message);
    std::string hex;
    for (const std::uint64_t half : {of.low, of.high}) {
      for (int byte = 0; byte < 8; ++byte) {
        char text[3];
        std::snprintf(text, sizeof text, "%02x", static_cast<unsigned>(half >> (8 * byte) & 0xff));
        hex += text;
      }
    }
    return hex;
  };
  EXPECT_EQ(digest(0), "a3817f04ba25a8e66df67214c7550293");
  EXPECT_EQ(digest(1), "da87c1d86b99af44347659119b22fc45");
  EXPECT_EQ(digest(16), "6ee2a4ca67b054bbfd3315bf85230577");
}

TEST(SecretKey, IsMadeOnceAndForItsOwnerAlone) {
  const TemporaryFolder folder;
  const std::string path = folder / "key";
  EXPECT_THAT(SecretKey::Read(path).error().text(), HasSubstr("no key here"));
  const auto made = SecretKey::ReadOrMake(path), again = SecretKey::ReadOrMake(path);
  const auto other = SecretKey::ReadOrMake(folder / "other");
  ASSERT_TRUE(made && again && other);
  EXPECT_EQ(made->Digest("u"), again->Digest("u"));
  EXPECT_NE(made->Digest("u"), other->Digest("u"));
  struct stat found {};
  ASSERT_EQ(::stat(path.c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777, 0600u);
  ::chmod(path.c_str(), 0640);
  EXPECT_EQ(SecretKey::Read(path).error().code(), ErrorCode::kInvalidInput);
  EXPECT_THAT(SecretKey::ReadOrMake(path).error().text(), HasSubstr("chmod 600"));
  folder.Write("none", "no key\n");
  ::chmod((folder / "none").c_str(), 0600);
  EXPECT_THAT(SecretKey::ReadOrMake(folder / "none").error().text(), HasSubstr("32 hexadecimal digits"));
}

}  // namespace
}  // namespace cohort::secret_key_test
