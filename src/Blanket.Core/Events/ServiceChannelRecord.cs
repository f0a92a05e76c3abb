using System.Runtime.InteropServices;

namespace Blanket.Core.Events;

/// <summary>What is remembered of a service channel, apart from its handler and guest; 16 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct ServiceChannelRecord
{
    /// <summary>Not queued, not running.</summary>
    public const int Idle = 0;

    /// <summary>In a CPU's queue.</summary>
    public const int Queued = 1;

    /// <summary>Its handler runs.</summary>
    public const int Running = 2;

    /// <summary>Its handler runs and has to run again.</summary>
    public const int RunningAgain = 3;

    /// <summary>In the list of free records.</summary>
    public const int Free = 4;

    /// <summary>One of the above; changed by compare-and-exchange.</summary>
    public int State;

    /// <summary>Odd while open; a handle's must be the same.</summary>
    public uint Generation;

    /// <summary>The guest's port.</summary>
    public uint Port;

    /// <summary>Next in the CPU's queue or in the list of free records, plus 1; 0 for none.</summary>
    public uint Next;
}
