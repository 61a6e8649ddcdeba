// Completions for the shells that people use (declared in command_tree.hpp).

#include <functional>

#include "spiketune/cli/command_tree.hpp"

namespace spiketune::cli {
namespace {

using Visit = std::function<void(const CommandDescription&)>;

void visit_all(const CommandDescription& command, const Visit& visit) {
  visit(command);
  for (const auto& child : command.commands) visit_all(child, visit);
}

std::string joined(const std::vector<std::string>& words) {
  std::string result;
  for (const auto& word : words) result += (result.empty() ? "" : " ") + word;
  return result;
}

/// The first sentence, or line, of a description.
std::string first_line(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

std::string single_quoted(const std::string& text) {
  std::string result = "'";
  for (const char c : text) result += c == '\'' ? "'\\''" : std::string(1, c);
  return result + "'";
}

/// `  "sweep") options="..." ;;`
std::string words_of_commands(const CommandDescription& program) {
  std::string script;
  visit_all(program, [&](const CommandDescription& command) {
    std::vector<std::string> flags;
    for (const auto& flag : command.flags) {
      if (!flag.positional) flags.insert(flags.end(), flag.names.begin(), flag.names.end());
    }
    std::vector<std::string> commands;
    for (const auto& child : command.commands) commands.push_back(child.path.back());
    for (const auto& flag : command.flags) {
      if (flag.positional)
        commands.insert(commands.end(), flag.choices.begin(), flag.choices.end());
    }
    script += "    \"" + command.name() + "\") flags='" + joined(flags) + "'; commands='" +
              joined(commands) + "' ;;\n";
  });
  return script;
}

/// `  "sweep --configs") choices="default all" ;;`, and "*" for values of any kind.
std::string words_of_values(const CommandDescription& program) {
  std::string script;
  visit_all(program, [&](const CommandDescription& command) {
    for (const auto& flag : command.flags) {
      if (flag.positional || flag.value.empty()) continue;
      std::string pattern;
      for (const auto& name : flag.names) {
        pattern += (pattern.empty() ? "" : "|") + ("\"" + command.name() + " " + name + "\"");
      }
      script += "    " + pattern + ") value=yes; choices='" + joined(flag.choices) + "' ;;\n";
    }
  });
  return script;
}

std::string nested_commands(const CommandDescription& program) {
  std::string patterns;
  visit_all(program, [&](const CommandDescription& command) {
    if (command.path.empty()) return;
    patterns += (patterns.empty() ? "" : "|") + ("\"" + command.name() + "\"");
  });
  return patterns;
}

std::string bash(const CommandDescription& program) {
  return R"(# bash completion of spiketune; source it, or put it into bash-completion's directory.
_spiketune() {
  local word command='' flags='' commands='' value='' choices='' i
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}
  for ((i = 1; i < COMP_CWORD; ++i)); do
    word="${command:+$command }${COMP_WORDS[i]}"
    case "$word" in
    )" + nested_commands(program) +
         R"() command=$word ;;
    esac
  done
  case "$command $previous" in
)" + words_of_values(program) +
         R"(  esac
  if [[ -n $value ]]; then
    if [[ -n $choices ]]; then
      mapfile -t COMPREPLY < <(compgen -W "$choices" -- "$current")
    else
      compopt -o default 2>/dev/null
      COMPREPLY=()
    fi
    return
  fi
  case "$command" in
)" + words_of_commands(program) +
         R"(  esac
  if [[ $current == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$flags" -- "$current")
  elif [[ -n $commands ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$current")
  else
    compopt -o default 2>/dev/null
    COMPREPLY=()
  fi
}
complete -F _spiketune spiketune
)";
}

/// A word of _arguments or _describe: brackets and colons mean something there.
std::string zsh_text(const std::string& text) {
  std::string result;
  for (const char c : first_line(text)) {
    if (c == '[' || c == ']' || c == ':') result += '\\';
    result += c;
  }
  return result;
}

std::string zsh_arguments(const CommandDescription& command) {
  std::string result;
  for (const auto& flag : command.flags) {
    if (flag.positional) continue;
    for (const auto& name : flag.names) {
      std::string word = "*" + name + "[" + zsh_text(flag.description) + "]";
      if (!flag.value.empty()) {
        word += ":" + zsh_text(flag.value) + ":" +
                (flag.choices.empty() ? "_files" : "(" + joined(flag.choices) + ")");
      }
      result += " \\\n        " + single_quoted(word);
    }
  }
  return result;
}

std::string zsh_function(const CommandDescription& command) {
  std::string name = "_spiketune";
  for (const auto& word : command.path) name += "_" + word;
  std::string script = name + "() {\n";
  if (command.commands.empty()) {
    std::string rest = "'*:file:_files'";
    for (const auto& flag : command.flags) {
      if (flag.positional && !flag.choices.empty()) {
        rest = single_quoted("1:" + flag.names.front() + ":(" + joined(flag.choices) + ")");
      }
    }
    return script + "    _arguments" + zsh_arguments(command) + " \\\n        " + rest + "\n}\n";
  }
  script += "    local state line\n    _arguments -C" + zsh_arguments(command) +
            " \\\n        '1:command:->command' \\\n        '*::argument:->arguments'\n"
            "    case $state in\n    command)\n        local -a commands=(";
  for (const auto& child : command.commands) {
    script +=
        "\n            " + single_quoted(child.path.back() + ":" + zsh_text(child.description));
  }
  script += ")\n        _describe command commands ;;\n    arguments)\n        case $line[1] in\n";
  for (const auto& child : command.commands) {
    script += "        " + child.path.back() + ") " + name + "_" + child.path.back() + " ;;\n";
  }
  return script + "        esac ;;\n    esac\n}\n";
}

std::string zsh(const CommandDescription& program) {
  std::string script =
      "#compdef spiketune\n# zsh completion of spiketune; save it as _spiketune in a directory of "
      "$fpath.\n";
  visit_all(program, [&](const CommandDescription& command) { script += zsh_function(command); });
  return script +
         "if [ \"$funcstack[1]\" = _spiketune ]; then\n    _spiketune \"$@\"\nelse\n"
         "    compdef _spiketune spiketune\nfi\n";
}

/// When fish is to offer the words of a command.
std::string fish_condition(const CommandDescription& command) {
  if (command.path.empty()) return "__fish_use_subcommand";
  std::string result = "__fish_seen_subcommand_from " + command.path.front();
  for (std::size_t i = 1; i < command.path.size(); ++i) {
    result += "; and __fish_seen_subcommand_from " + command.path[i];
  }
  if (command.commands.empty()) return result;
  result += "; and not __fish_seen_subcommand_from";
  for (const auto& child : command.commands) result += " " + child.path.back();
  return result;
}

std::string fish(const CommandDescription& program) {
  std::string script =
      "# fish completion of spiketune; save it as spiketune.fish in fish's directory of "
      "completions.\n";
  visit_all(program, [&](const CommandDescription& command) {
    const std::string start = "complete -c spiketune -n " + single_quoted(fish_condition(command));
    for (const auto& child : command.commands) {
      script += start + " -f -a " + child.path.back() + " -d " +
                single_quoted(first_line(child.description)) + "\n";
    }
    for (const auto& flag : command.flags) {
      if (flag.positional) {
        if (!flag.choices.empty())
          script += start + " -f -a " + single_quoted(joined(flag.choices)) + "\n";
        continue;
      }
      std::string line = start;
      for (const auto& name : flag.names) {
        line += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
      }
      if (!flag.choices.empty()) {
        line += " -x -a " + single_quoted(joined(flag.choices));
      } else if (!flag.value.empty()) {
        line += " -r";
      }
      script += line + " -d " + single_quoted(first_line(flag.description)) + "\n";
    }
  });
  return script;
}

}  // namespace

std::string completion_script(const CommandDescription& program, const std::string& shell) {
  if (shell == "zsh") return zsh(program);
  if (shell == "fish") return fish(program);
  return bash(program);
}

}  // namespace spiketune::cli
