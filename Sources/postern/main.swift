import NIOCore
import NIOPosix
import PosternCommands

// Tasks run on the event loops themselves: most of what Postern does is short and between two reads of a socket, where waking another thread
// costs more than the work (docs/decisions/0005). Must come before the first task.
NIOSingletons.unsafeTryInstallSingletonPosixEventLoopGroupAsConcurrencyGlobalExecutor()

await PosternMain.run(Array(CommandLine.arguments.dropFirst()))
