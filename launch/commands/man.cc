// cohort man: a man page for every command, which says what its --help says.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "common/atomic_file.h"
#include "launch/commands/command_tree.h"
#include "launch/commands/commands.h"

namespace cohort {
namespace {

// Text that roff prints as it is: no line of it is a request, no character an escape or a hyphen to break at.
std::string Roff(const std::string& text) {
  std::string roff;
  for (const char c : text) {
    if ((c == '.' || c == '\'') && (roff.empty() || roff.back() == '\n')) roff += "\\&";
    roff += c == '\\' ? "\\e" : c == '-' ? "\\-" : std::string(1, c);
  }
  return roff;
}

std::string Heading(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return ".SH \"" + Roff(text) + "\"\n";
}

std::string PageName(const CLI::App& command) {
  std::string name = WordsOf(command);
  std::replace(name.begin(), name.end(), ' ', '-');
  return name;
}

std::string PageReference(const CLI::App& command) { return ".BR " + Roff(PageName(command)) + " (1)\n"; }

// Sets in roff what CLI11 puts together for --help.
class ManFormatter : public CLI::Formatter {
 public:
  std::string make_help(const CLI::App* app, std::string words, CLI::AppFormatMode mode) const override {
    const CLI::App* program = app;
    while (program->get_parent() != nullptr) program = program->get_parent();
    std::string page = ".TH \"" + Roff(PageName(*app)) + "\" 1 \"\" \"" + Roff(program->version()) + "\"\n";
    page += Heading("Name") + Roff(PageName(*app)) + " \\- " + Roff(app->get_description()) + "\n";
    page +=
        make_usage(app, words) + make_positionals(app) + make_groups(app, mode) + make_subcommands(app, mode);
    page += Heading("Exit status") + Roff(program->get_footer()) + "\n";
    if (app->get_parent() != nullptr) page += Heading("See also") + PageReference(*app->get_parent());
    return page;
  }
  std::string make_usage(const CLI::App* app, std::string words) const override {
    const std::string usage = CLI::Formatter::make_usage(app, "");  // "Usage: [OPTIONS] DIR"
    return Heading("Synopsis") + ".B " + Roff(words) + "\n" + Roff(usage.substr(usage.find(' ') + 1));
  }
  std::string make_group(std::string group, bool positional,
                         std::vector<const CLI::Option*> options) const override {
    std::string section = Heading(group);
    for (const CLI::Option* option : options) section += make_option(option, positional);
    return section;
  }
  std::string make_option(const CLI::Option* option, bool positional) const override {
    return ".TP\n\\fB" + Roff(make_option_name(option, positional)) + "\\fR" +
           Roff(make_option_opts(option)) + "\n" + Roff(make_option_desc(option)) + "\n";
  }
  std::string make_subcommands(const CLI::App* app, CLI::AppFormatMode) const override {
    std::string section;
    for (const CLI::App* command : app->get_subcommands(nullptr)) section += make_subcommand(command);
    return section.empty() ? section : Heading("Commands") + section;
  }
  std::string make_subcommand(const CLI::App* command) const override {
    return ".TP\n" + PageReference(*command) + Roff(command->get_description()) + "\n";
  }
};

Status WriteManPages(const CLI::App& program, const std::string& directory, Console& console) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return Refused(directory + " cannot be made: " + error.message());
  const std::vector<const CLI::App*> tree = CommandTree(program);
  for (const CLI::App* command : tree) {
    COHORT_RETURN_IF_ERROR(WriteFileAtomically(
        directory + "/" + PageName(*command) + ".1",
        ManFormatter().make_help(command, WordsOf(*command), CLI::AppFormatMode::Normal)));
  }
  console.Print("wrote " + std::to_string(tree.size()) + " man pages to " + directory);
  console.SetJson(nlohmann::json{{"status", "done"}, {"pages", tree.size()}}.dump());
  return {};
}

}  // namespace

void AddMan(CLI::App& app, Commands& commands) {
  auto directory = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("man", "write a man page for every command");
  command->add_option("DIR", *directory, "the folder for them; made if it is not there")->required();
  commands[command] = [&app, directory](Console& console) { return WriteManPages(app, *directory, console); };
}

}  // namespace cohort
