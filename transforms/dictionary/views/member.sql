-- Persons that analyses are about: main diagnosis, gene group, sex and follow-up, ages in years.
-- Every analysis view selects from this relation, called `member`.
with main_diagnosis as (
    select person_id, dx_subtype, severity, onset_age_y, dx_age_y
    from diagnosis
    where dx_status is distinct from 'refuted'  -- a source may not say how certain it is
    qualify row_number() over (
        partition by person_id order by coalesce(dx_rank, 1), dx_date nulls last, diagnosis_id
    ) = 1
),
variants as (  -- a variant that is entered twice is still one
    select
        person_id,
        gene_symbol,
        max(case when zygosity in ('homozygous', 'compound_heterozygous') then 2 else 1 end) as alleles
    from variant
    where coalesce(interpretation_status, 'causative') <> 'rejected' and coalesce(acmg_class, 5) >= 3
    group by person_id, gene_symbol, coalesce(hgvs_c, variant_id)
),
alleles as (
    select person_id, gene_symbol, sum(alleles) as alleles
    from variants
    group by all
),
causal_gene as (
    select
        person_id,
        case
            when gene."group" = 'CLCN7' and alleles.alleles >= 2 then 'CLCN7_biallelic'
            when gene."group" = 'CLCN7' then 'CLCN7_het'
            else gene."group"
        end as gene_group
    from alleles
    join codelist.gene as gene on gene.code = alleles.gene_symbol
    qualify row_number() over (
        partition by person_id order by gene."group" = 'unknown', alleles.alleles desc, gene_symbol
    ) = 1
),
follow_up as (
    select
        person_id,
        max(coalesce(death_date, last_contact_date)) as exit_date,
        bool_or(vital_status = 'dead') as died
    from death_followup
    group by person_id
)
select
    person.person_id,
    person.birth_date,
    person.sex_at_birth,
    coalesce(causal_gene.gene_group, 'unknown') as gene_group,
    main_diagnosis.dx_subtype,
    main_diagnosis.severity,
    main_diagnosis.onset_age_y,
    main_diagnosis.dx_age_y,
    case
        when person.history_complete_from_birth then 0.0
        -- greatest() alone would make 0 of a first contact that is not known
        when person.first_contact_date is not null
            then greatest(date_diff('day', person.birth_date, person.first_contact_date) / 365.25, 0.0)
    end as entry_age_y,
    date_diff('day', person.birth_date, follow_up.exit_date) / 365.25 as exit_age_y,
    follow_up.died
from person
join main_diagnosis using (person_id)
join follow_up using (person_id)
join codelist.dx_subtype as subtype on subtype.code = main_diagnosis.dx_subtype
left join causal_gene using (person_id)
where subtype."class" <> 'differential'  -- kept in the tables, never pooled
