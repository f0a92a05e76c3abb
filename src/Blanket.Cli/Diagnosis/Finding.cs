namespace Blanket.Cli.Diagnosis;

/// <summary>How good a finding is.</summary>
internal enum Grade
{
    /// <summary>As it should be.</summary>
    Good,

    /// <summary>It works, slowly.</summary>
    Slow,

    /// <summary>Missing, and needed for something special only.</summary>
    Optional,

    /// <summary>Missing and needed.</summary>
    Missing,
}

/// <summary>One thing that was looked at.</summary>
internal sealed record Finding(Grade Grade, string Subject, string Detail);
