namespace Blanket.Kernel.Guests;

/// <summary>What a go at the start of a guest came to.</summary>
internal enum StartResult : byte
{
    /// <summary>There is more to do.</summary>
    Unfinished,

    /// <summary>It runs.</summary>
    Done,

    /// <summary>It cannot be started; the log says why. Its domain, if it has one, is to be torn down.</summary>
    Failed,
}
