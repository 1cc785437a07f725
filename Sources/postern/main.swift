import PosternCommands

await PosternMain.run(Array(CommandLine.arguments.dropFirst()))
