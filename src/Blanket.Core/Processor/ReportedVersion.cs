namespace Blanket.Core.Processor;

/// <summary>The version of Xen's interface that guests are told of.</summary>
public static class ReportedVersion
{
    /// <summary>Major version.</summary>
    public const uint Major = 4;

    /// <summary>Minor version.</summary>
    public const uint Minor = 17;
}
