using System.Diagnostics.CodeAnalysis;

namespace Blanket.Machine;

/// <summary>Checks that hold unless the hypervisor itself is wrong; a failure abandons the handler (docs/architecture.md).</summary>
public static class Check
{
    /// <summary>Abandons the handler that runs.</summary>
    [DoesNotReturn]
    public static void Fail()
    {
#if METAL
        System.ThrowHelper.Abandon();
#else
        throw new System.InvalidOperationException("a hypervisor invariant does not hold");
#endif
    }

    /// <summary>Abandons the handler when an invariant does not hold.</summary>
    public static void That([DoesNotReturnIf(false)] bool invariant)
    {
        if (!invariant)
        {
            Fail();
        }
    }
}
