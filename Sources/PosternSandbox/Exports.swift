// `SandboxLimits` and `SandboxPaths` are part of this module's interface; they live with the wire because postern-init reads them too.
@_exported import PosternSandboxWire
