import NIOCore
import NIOPosix
import PosternCommands

// What holds for the first thread only and those that it begins comes before all else.
PosternMain.begin(Array(CommandLine.arguments.dropFirst()))

// Tasks run on the event loops themselves: most of what Postern does is short and between two reads of a socket, where waking another thread
// costs more than the work (docs/decisions/0005). Must come before the first task.
NIOSingletons.unsafeTryInstallSingletonPosixEventLoopGroupAsConcurrencyGlobalExecutor()

await withTaskExecutorPreference(EventLoopExecutor()) { () async -> Void in await PosternMain.run(Array(CommandLine.arguments.dropFirst())) }
