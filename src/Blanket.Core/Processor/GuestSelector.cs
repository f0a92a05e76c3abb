namespace Blanket.Core.Processor;

/// <summary>Selectors that a guest gives for later use.</summary>
public static class GuestSelector
{
    private const ushort PrivilegeMask = 3;

    /// <summary>A code or stack selector with the privilege that all guest code has (ring 3).</summary>
    public static ushort WithGuestPrivilege(ushort selector) => (ushort)(selector | PrivilegeMask);
}
