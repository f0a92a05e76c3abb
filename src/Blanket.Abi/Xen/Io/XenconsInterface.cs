namespace Blanket.Abi.Xen.Io;

/// <summary><c>struct xencons_interface</c> of io/console.h: two byte rings in one page. Indexes run freely and wrap at 2^32.</summary>
public static class XenconsInterface
{
    /// <summary>Offset of <c>in</c>, bytes to the guest.</summary>
    public const int Input = 0;

    /// <summary>Bytes of <c>in</c>.</summary>
    public const int InputSize = 1024;

    /// <summary>Offset of <c>out</c>, bytes from the guest.</summary>
    public const int Output = 1024;

    /// <summary>Bytes of <c>out</c>.</summary>
    public const int OutputSize = 2048;

    /// <summary>Offset of <c>in_cons</c>, written by the guest.</summary>
    public const int InputConsumer = 3072;

    /// <summary>Offset of <c>in_prod</c>, written by the backend.</summary>
    public const int InputProducer = 3076;

    /// <summary>Offset of <c>out_cons</c>, written by the backend.</summary>
    public const int OutputConsumer = 3080;

    /// <summary>Offset of <c>out_prod</c>, written by the guest.</summary>
    public const int OutputProducer = 3084;
}
