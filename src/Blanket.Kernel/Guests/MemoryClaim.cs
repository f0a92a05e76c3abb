namespace Blanket.Kernel.Guests;

/// <summary>How it is with the memory of a start (<see cref="MemoryBalancer.Claim"/>).</summary>
internal enum MemoryClaim : byte
{
    /// <summary>It is there, and nobody else's.</summary>
    Granted,

    /// <summary>Guests have been asked for it.</summary>
    Waits,

    /// <summary>There is none.</summary>
    Refused,
}
