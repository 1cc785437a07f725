import Glibc

// One static binary, three roles: see CommandLine+Roles in Roles.swift.
exit(Roles.run(CommandLine.arguments))
