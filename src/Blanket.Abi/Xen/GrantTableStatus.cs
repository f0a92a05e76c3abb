namespace Blanket.Abi.Xen;

/// <summary>Results of single grant operations (GNTST_* of xen/include/public/grant_table.h).</summary>
public static class GrantTableStatus
{
    public const short Okay = 0;
    public const short GeneralError = -1;
    public const short BadDomain = -2;
    public const short BadReference = -3;
    public const short BadHandle = -4;
    public const short BadVirtualAddress = -5;
    public const short BadDeviceAddress = -6;
    public const short NoDeviceSpace = -7;
    public const short PermissionDenied = -8;
    public const short BadPage = -9;
    public const short BadCopyArgument = -10;
    public const short AddressTooBig = -11;
    public const short Again = -12;
    public const short NoSpace = -13;
}
